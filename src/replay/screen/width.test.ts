import { expect, test } from 'vitest';
import { CommandFinder } from '../session/find-commands.ts';
import { Screen } from './screen.ts';

/** Some of what bash wrote while it was typed into on terminals that no log tells the width of, 27 columns and 60. */
test.each([
  {
    why: 'a full row, and back in it',
    wrote: [
      '\x1b[?2004h# yzx0zx y00xyxzyx 0zx0yzyy \r\x1b[A# yzx0zx y00xyxzyx 0zx0yzy\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b y00xyxzy\b\b\b\b\b\b\b\b\b\x1b[1P\r\n',
      '\r\x1b[K\x1b[A# yzx0zx\b\x1b[1P\b\x1b[1P\b\b\b\b\x1b[1P\x07\r\n',
      '\x1b[?2004l\rbash: zx0y00xyxzyx: command not found\r\n',
    ],
    typed: 'zx0y00xyxzyx 0zx0yzyy',
  },
  {
    why: 'a full row, and something else before it',
    wrote: [
      '\x1b[?2004h# 0z0y yyxz y zyy0yz0x0 zzx \r\x1b[A# yx0xzy yzyy0zz xyxxz00z0y \r yyxz y zyy0yz0x0 zzx\x1b[Az0\r\n',
      '\r\r\n',
      '\x1b[?2004l\rbash: yx0xzy: command not found\r\n',
    ],
    typed: 'yx0xzy yzyy0zz xyxxz00z0y yyxz y zyy0yz0x0 zzx',
  },
  {
    why: 'a row that is filled by what is put in the middle',
    wrote: [
      '\x1b[?2004h# y00 y0xzz0x0z x0yy\b\b\b\b\b\b\b\b\b\bxzz0zxzz0x0z x0yy \x1b[A y00 y0xzxzz0zxzz0x0z x\r\n',
      '\r0z zyzz 0x0yyx 0y zyz0xz\r\n',
      '\x1b[?2004l\rbash: y00: command not found\r\n',
    ],
    typed: 'y00 y0xzxzz0zxzz0x0z x0yy0z zyzz 0x0yyx 0y zyz0xz',
  },
  {
    why: 'a full row, and its overflow written twice',
    wrote: ['\x1b[?2004h# 0y0 zyzzyx00 xz xyyyyyzx0x\rx\rx\x07\r\n', '\x1b[?2004l\rbash: 0y0: command not found\r\n'],
    typed: '0y0 zyzzyx00 xz xyyyyyzx0x',
  },
  {
    why: 'an old bash, left in the first row of two',
    wrote: [
      '# yxxz 0yx xzzzx0y zzyyzxx0zxxzyzxz y0x00z0xy 0zx0yzyzxz00 y \r\x1b[A# \r\n',
      '\rbash: yxxz: command not found\r\n',
    ],
    typed: 'yxxz 0yx xzzzx0y zzyyzxx0zxxzyzxz y0x00z0xy 0zx0yzyzxz00 y',
  },
  {
    why: 'an old bash, at the first prompt of a kind that is like a comment',
    isFirst: true,
    wrote: [
      '# 00z0xx z0z00z xxz0yyz0 00xxx00xy0xz0 yyyyyyxz zxyz0xyxxzzyy\ryyx\r\n',
      'bash: 00z0xx: command not found\r\n',
    ],
    typed: '00z0xx z0z00z xxz0yyz0 00xxx00xy0xz0 yyyyyyxz zxyz0xyxxzzyyyx',
  },
])('$why', async ({ wrote, typed, isFirst = false }) => {
  const found: string[] = [];
  const reader = new CommandFinder({ onCommand: ({ text }) => found.push(text) });
  const screen = new Screen({ reader });
  // Above it there is a row to go up to by mistake.
  if (!isFirst) await screen.write({ text: '# \r\n', timeMs: -1000 });
  // The answer of the program comes at once.
  for (const [index, text] of wrote.entries())
    await screen.write({ text, timeMs: index === wrote.length - 1 ? 1000 * index - 999 : 1000 * index });
  await screen.end();
  reader.end();
  expect(found).toEqual([typed]);
});
