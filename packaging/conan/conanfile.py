"""lutra's kernels, runtime and C API, of the tree around this file:

conan create packaging/conan [-o "lutra/*:shared=True"]
"""

import os
import re

from conan import ConanFile
from conan.tools.build import stdcpp_library
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class LutraConan(ConanFile):
    name = "lutra"
    description = "Inference runtime and kernels for LUT-quantized neural networks"
    license = "Apache-2.0"
    topics = ("inference", "quantization", "neural-network")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        # Tokenizers that split by regular expressions or normalize Unicode.
        "tokenizers": [True, False],
        # Apps may hand in a pthreadpool.
        "pthreadpool": [True, False],
        # Libraries that lutra uses come from the system (on Debian those of
        # scripts/setup.sh), not as packages of Conan.
        "system_libraries": [True, False],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "tokenizers": True,
        "pthreadpool": False,
        "system_libraries": False,
    }

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..")

    @property
    def _has_cpuinfo(self):
        return str(self.settings.arch).startswith(("x86", "arm"))

    def set_version(self):
        lists = load(self, os.path.join(self._root, "CMakeLists.txt"))
        self.version = re.search(r"^  VERSION ([0-9.]+)$", lists, re.M)[1]

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "NOTICE", "cmake/*",
                        "kernels/*", "runtime/*"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def config_options(self):
        if self.settings.os == "Windows":
            del self.options.fPIC

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        if self.options.system_libraries:
            return
        self.requires("highway/[>=1.0.3 <2]")
        self.requires("nlohmann_json/[>=3.10 <4]")
        if self._has_cpuinfo:
            self.requires("cpuinfo/[*]")
        if self.options.tokenizers:
            self.requires("pcre2/[>=10.37 <11]")
            self.requires("utf8proc/[>=2.5 <3]")
        if self.options.pthreadpool:
            self.requires("pthreadpool/[*]")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update({
            "BUILD_SHARED_LIBS": bool(self.options.shared),
            "LUTRA_ROOMS": "kernels;runtime",
            "LUTRA_BUILD_TESTS": False,
            "LUTRA_FETCH": False,
            "CMAKE_DISABLE_FIND_PACKAGE_PCRE2": not self.options.tokenizers,
            "CMAKE_DISABLE_FIND_PACKAGE_utf8proc": not self.options.tokenizers,
            "CMAKE_DISABLE_FIND_PACKAGE_pthreadpool": not self.options.pthreadpool,
        })
        if self.options.system_libraries:
            # It prefers the packages' own CMake files, and Debian's are not right.
            toolchain.blocks.remove("find_paths")
        toolchain.generate()
        dependencies = CMakeDeps(self)
        # As lutra's CMake files look for them.
        dependencies.set_property("highway", "cmake_file_name", "hwy")
        dependencies.set_property("highway::hwy", "cmake_target_name", "hwy::hwy")
        dependencies.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        for name in ("LICENSE", "NOTICE"):
            copy(self, name, self.source_folder,
                 os.path.join(self.package_folder, "licenses"))
        # What follows says the same to CMake and pkg-config.
        for folder in ("cmake", "pkgconfig"):
            rmdir(self, os.path.join(self.package_folder, "lib", folder))

    def package_info(self):
        kernels = self.cpp_info.components["kernels"]
        runtime = self.cpp_info.components["runtime"]
        c_api = self.cpp_info.components["c"]
        for name in ("kernels", "runtime", "c"):
            self.cpp_info.components[name].set_property(
                "cmake_target_name", f"lutra::{name}")
        kernels.libs = ["lutra_kernels"]
        runtime.libs = ["lutra_runtime"]
        runtime.requires = ["kernels"]
        if self.settings.os in ("Linux", "FreeBSD"):
            kernels.system_libs = ["pthread", "m"]
        if not self.options.shared and stdcpp_library(self):
            kernels.system_libs.append(stdcpp_library(self))  # for programs in C

        # (component, package's component, the system's library)
        used = [(kernels, "highway::hwy", "hwy")]
        if self._has_cpuinfo:
            used.append((kernels, "cpuinfo::cpuinfo", "cpuinfo"))
        if self.options.tokenizers:
            used.append((runtime, "pcre2::pcre2-8", "pcre2-8"))
            used.append((runtime, "utf8proc::utf8proc", "utf8proc"))
        if self.options.pthreadpool:
            used.append((runtime, "pthreadpool::pthreadpool", "pthreadpool"))
        for component, package, library in used:
            if self.options.system_libraries:
                component.system_libs.append(library)
            else:
                component.requires.append(package)
        if not self.options.system_libraries:
            runtime.requires.append("nlohmann_json::nlohmann_json")

        # liblutra.so holds the other two; without it, it stands for them.
        if self.options.shared:
            c_api.libs = ["lutra"]
        else:
            c_api.requires = ["runtime"]
        if self.settings.os == "Windows" and not self.options.shared:
            runtime.defines = ["LUTRA_STATIC"]
