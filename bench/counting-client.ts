/** A client that asks the first address that answers, every 20 ms; the count that it is told must never go back. */
export class CountingClient {
  answered = 0;
  readonly #urls: string[];
  readonly #answers: { at: number; url: string; count: number }[] = [];
  #ended = false;
  #refused = 0;

  constructor(urls: string[]) {
    this.#urls = urls;
  }

  begin(): void {
    void (async () => {
      for (let at = 0; !this.#ended; ) {
        const url = this.#urls[at % this.#urls.length] as string;
        const count = await ask(url);
        if (count === undefined) {
          if (this.answered > 0) this.#refused++;
          at++;
        } else {
          this.answered++;
          this.#answers.push({ at: performance.now(), url, count });
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
  }

  async until(answered: number, signal: AbortSignal): Promise<void> {
    while (this.answered < answered && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  end(): void {
    this.#ended = true;
  }

  summary(): string {
    let gap = { ms: 0, from: 0, to: 0 };
    let wentBack = 0;
    for (const [i, answer] of this.#answers.entries()) {
      const before = this.#answers[i - 1];
      if (before === undefined) continue;
      if (answer.count < before.count) wentBack++;
      if (answer.at - before.at > gap.ms) gap = { ms: answer.at - before.at, from: before.count, to: answer.count };
    }
    return [
      `a client that asked every 20 ms: ${this.answered} answers, longest gap ${Math.round(gap.ms)} ms`,
      `the count went on from ${gap.from} to ${gap.to} over the gap${wentBack === 0 ? ', and never back' : `, and went back ${wentBack} times`}`,
      `${this.#refused} tries found nobody: the client looked for the new host by itself; forwarding is yet to come`,
    ].join('\n');
  }
}

async function ask(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
    const count = Number(await response.text());
    return response.ok && Number.isFinite(count) ? count : undefined;
  } catch {
    return undefined;
  }
}
