"""The package as it is installed."""

import ast
import inspect
import pathlib
import platform
import subprocess
import sys

import pytest

import lutra


def test_import_is_quick_and_takes_no_numpy():
    code = (
        "import sys, time; t = time.perf_counter(); import lutra; "
        "print(time.perf_counter() - t, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        .stdout.split()
        for _ in range(7)
    ]
    assert min(float(seconds) for seconds, _ in runs) < 0.05
    assert {numpy for _, numpy in runs} == {"False"}


def test_everything_has_a_stub_and_a_docstring():
    folder = pathlib.Path(lutra.__file__).parent
    text = (folder / "_lutra.pyi").read_text()
    assert "-> object" not in text
    tree = ast.parse(text)
    stubs = {
        node.name: {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
        if isinstance(node, ast.ClassDef) else set()
        for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    for name in lutra.__all__:
        value = getattr(lutra, name)
        if name == "__version__" or inspect.ismodule(value):
            continue
        assert value.__doc__, name
        if value.__module__ != "lutra._lutra":
            continue
        assert name in stubs, name
        members = {m for m in vars(value) if not m.startswith("_")} if inspect.isclass(value) else set()
        assert members <= stubs[name], name
    assert (folder / "py.typed").exists()


def test_the_extension_runs_on_old_systems():
    """Its symbols are those of glibc 2.28, manylinux_2_28's."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        pytest.skip("symbols of old versions are taken on x86-64 with glibc")
    newest = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)}
    with open(lutra._lutra.__file__, "rb") as file:
        needs = elffile.ELFFile(file).get_section_by_name(".gnu.version_r")
        versions = {aux.name for _, auxiliaries in needs.iter_versions() for aux in auxiliaries}
    assert "GLIBC_2.2.5" in versions
    for version in versions:
        library, _, number = version.partition("_")
        if library in newest and number[0].isdigit():
            assert tuple(int(part) for part in number.split(".")) <= newest[library], version


def test_the_version_is_the_projects():
    project = pathlib.Path(__file__).parents[3] / "CMakeLists.txt"
    assert f"VERSION {lutra.__version__}\n" in project.read_text()
