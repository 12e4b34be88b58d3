import { expect, test } from 'vitest';
import { screen, terminalPicture } from '../../scripts/terminal-picture.ts';

const text = (recording: string) =>
  screen(recording).map((row) =>
    row
      .map((cell) => cell.character)
      .join('')
      .trimEnd(),
  );

test('what was overwritten or cleared is not in the picture', () => {
  expect(text('one\r\ntwo\rTW\r\n\x1b[36m⠋\x1b[39m spinning\r\x1b[2Kdone\n')).toEqual(['one', 'TWo', 'done', '']);
  expect(text('a\x1b[?25lb\x1b]c\x07')).toEqual(['abc']);
});

test('colours, weight and markup', () => {
  const picture = terminalPicture('\x1b[1m\x1b[31mred\x1b[39m\x1b[22m <&> \x1b[2mdim\x1b[0m\n\n', 'drayage <x>');
  expect(picture).toContain('font-weight="bold">red</tspan>');
  expect(picture).toContain('&lt;&amp;&gt;');
  expect(picture).toContain('fill-opacity="0.62">dim</tspan>');
  expect(picture).toContain('drayage &lt;x&gt;</text>');
  expect(picture.match(/<text y=/g)).toHaveLength(1);
});
