// Carries compiled headers, see lutra_precompile in LutraTargets.cmake.
