/** Which of a processor's flags programs depend on. */

/**
 * On x86 those that CRIU itself compares (criu/arch/x86/cpu.c, x86_ins_capability_mask), by their names in /proc/cpuinfo,
 * and later instruction sets of the same families; elsewhere every flag is an instruction set.
 */
export function instructionSets(arch: string, flags: readonly string[]): string[] {
  return arch === 'x86_64' || arch === 'i686' ? flags.filter((flag) => X86.test(flag)) : [...flags];
}

const X86 = new RegExp(
  `^(${[
    ...[
      'fpu',
      'tsc',
      'cx8',
      'cx16',
      'sep',
      'cmov',
      'clflush',
      'clflushopt',
      'clwb',
      'clzero',
      'syscall',
      'rdtscp',
      'rdpid',
    ],
    ...[
      'mmx',
      'mmxext',
      '3dnow',
      '3dnowext',
      '3dnowprefetch',
      'fxsr',
      'sse',
      'sse2',
      'pni',
      'ssse3',
      'sse4_1',
      'sse4_2',
    ],
    ...['sse4a', 'misalignsse', 'xop', 'fma', 'fma4', 'tbm', 'f16c', 'abm', 'popcnt', 'movbe', 'bmi1', 'bmi2', 'adx'],
    ...['aes', 'pclmulqdq', 'vaes', 'vpclmulqdq', 'gfni', 'sha_ni', 'sha512', 'sm3', 'sm4', 'rdrand', 'rdseed'],
    ...['fsgsbase', 'hle', 'rtm', 'mpx', 'erms', 'rep_good', 'nopl', 'movdiri', 'movdir64b', 'enqcmd', 'waitpkg'],
    // The layout of saved floating point state, which CRIU restores byte by byte.
    ...['xsave', 'xsaveopt', 'xsavec', 'xsaves', 'xgetbv1', 'ospke'],
    ...['avx.*', 'amx_.*'],
  ].join('|')})$`,
);
