/** The undo stack: what takes back what was done so far, run newest first. Cleared at the commit point. */
export class UndoStack {
  #actions: { name: string; undo: () => Promise<void> | void }[] = [];

  /** To be called before the deed: an undo whose deed never happened must do nothing. */
  push(name: string, undo: () => Promise<void> | void): void {
    this.#actions.push({ name, undo });
  }

  /** After this nothing can be undone any more. */
  clear(): void {
    this.#actions = [];
  }

  /** What has this name stays as it is. */
  drop(name: string): void {
    this.#actions = this.#actions.filter((action) => action.name !== name);
  }

  /** Runs every action, also where one fails; returns what failed. */
  async run(): Promise<{ name: string; error: unknown }[]> {
    const failures: { name: string; error: unknown }[] = [];
    for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) {
      try {
        await action.undo();
      } catch (error) {
        failures.push({ name: action.name, error });
      }
    }
    return failures;
  }
}
