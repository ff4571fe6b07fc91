"""Targets: what their names mean, which of them a CPU has, and what is said of one that it lacks."""

from __future__ import annotations

import pytest

from mxconv import config
from mxconv.errors import UnsupportedError
from mxconv.jit import target as module
from mxconv.jit.target import Target, current, target_machine

AVX2 = dict.fromkeys(("avx2", "fma", "f16c", "bmi2"), True)
AVX512 = AVX2 | dict.fromkeys(("avx512f", "avx512bw", "avx512dq", "avx512vl"), True)


@pytest.fixture
def pretend(monkeypatch):
    """pretend(features, machine): this CPU is another one."""
    module._host()

    def be(features: dict[str, bool], machine: str = "x86_64") -> None:
        monkeypatch.setattr(module, "_host", lambda: ("pretended", features))
        monkeypatch.setattr(module.platform, "machine", lambda: machine)
        module._by_name.cache_clear()

    yield be
    monkeypatch.undo()
    module._by_name.cache_clear()


def named(name: str) -> Target:
    with config.override(target=name):
        return current()


def test_every_target_has_a_code_generator(target):
    machine = target_machine(target)
    assert machine.target_data is not None
    assert target.lanes(4) * 4 == target.vector_bytes


@pytest.mark.parametrize(
    ("features", "native", "bytes_", "registers"),
    [({}, "x86-64", 16, 16), (AVX2, "avx2", 32, 16), (AVX512, "avx512", 64, 32)],
)
def test_native_is_the_best_that_the_cpu_has(pretend, features, native, bytes_, registers):
    pretend(features)
    target = named("native")
    assert (target.name, target.vector_bytes, target.registers) == (native, bytes_, registers)
    assert target.has_fma is target.has_half is (native != "x86-64")
    assert target == named(native)


@pytest.mark.parametrize("lacking", ["avx512f", "avx512bw", "avx512dq", "avx512vl"])
def test_half_an_avx512_is_none(pretend, lacking):
    pretend(AVX512 | {lacking: False})
    assert named("native").name == "avx2"


def test_lesser_targets_are_there_to_be_named(pretend):
    pretend(AVX512)
    assert [named(n).vector_bytes for n in ("x86-64", "avx2", "avx512")] == [16, 32, 64]
    assert named("x86-64").features == "", "code for any x86-64 must not use what this CPU has"


@pytest.mark.parametrize("machine", ["arm64", "aarch64"])
def test_other_machines_have_one_target(pretend, machine):
    pretend({"neon": True}, machine)
    target = named("native")
    assert (target.vector_bytes, target.registers, target.has_fma, target.has_half) == (16, 32, True, True)
    with pytest.raises(UnsupportedError):
        named("avx2")


@pytest.mark.parametrize(("features", "name"), [({}, "avx2"), (AVX2, "avx512"), (AVX512, "AVX2"), (AVX512, "sse9"),
                                                (AVX512, "")])  # fmt: skip
def test_a_target_that_the_cpu_lacks_is_refused(pretend, features, name):
    pretend(features)
    with pytest.raises(UnsupportedError) as caught:
        named(name)
    error = caught.value
    assert (error.argument, error.got) == ("MXCONV_TARGET", name)
    assert all(part in str(error) for part in (repr(name), "pretended", "Unset MXCONV_TARGET"))
    assert all(part in error.expected for part in ("native", "avx512", "avx2", "x86-64"))


def test_the_environment_names_the_target(monkeypatch):
    monkeypatch.setenv("MXCONV_TARGET", "sse9")
    with pytest.raises(UnsupportedError, match="'sse9'"):
        current()
    monkeypatch.setenv("MXCONV_TARGET", "native")
    assert current() == named("native")
