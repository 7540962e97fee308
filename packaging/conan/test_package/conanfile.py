"""Builds packaging/consumer with the package, and runs what it has built."""

import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class LutraTest(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeToolchain", "CMakeDeps"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder=os.path.join("..", "..", "consumer"))
        cmake.build()

    def test(self):
        if can_run(self):
            for program in ("consumer", "gemv"):
                self.run(os.path.join(self.cpp.build.bindir, program), env="conanrun")
