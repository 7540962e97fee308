#ifndef LUTRA_KERNELS_BASE_CLONES_H_
#define LUTRA_KERNELS_BASE_CLONES_H_

// LUTRA_CLONES before a function makes GCC compile it, and what it calls, a
// second time for wider vectors; the loader takes the version that the CPU can
// run. Both give the same bits: neither fuses a multiply and an add. It is for
// loops that arithmetic rather than memory bounds, on x86-64, whose baseline
// has four lanes. Clang cannot combine the two attributes, and the indirect
// functions behind them run before sanitizers are ready.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && \
    defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&        \
    !defined(__SANITIZE_THREAD__)
#define LUTRA_CLONES __attribute__((target_clones("avx2", "default"), flatten))
#else
#define LUTRA_CLONES
#endif

#endif  // LUTRA_KERNELS_BASE_CLONES_H_
