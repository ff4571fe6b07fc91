"""The code cache holds machine code: whatever is wrong with it, nothing foreign is ever returned and nobody crashes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from mxconv import config
from mxconv.jit import code_cache
from mxconv.jit.code_cache import key_of, load, store

KEY, BODY = key_of("kernel", "target"), b"machine code, say"
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder (not made yet); no warning has been given yet."""
    monkeypatch.setattr(code_cache, "_warned", False)
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.fixture
def entry(cache) -> Path:
    """The file of a stored entry."""
    store(KEY, BODY)
    (path,) = cache.iterdir()
    assert load(KEY) == BODY
    return path


def is_refused_but_harmless() -> bool:
    """Whether storing warns exactly once, however often it is tried, and loading gives nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            store(KEY, BODY)
    assert [w.category for w in caught] == [RuntimeWarning]
    assert "compiled kernels are not kept" in str(caught[0].message)
    assert "MXCONV_CACHE_DIR" in str(caught[0].message)
    return load(KEY) is None


# ---- what is kept


def test_what_is_stored_is_loaded(entry, cache):
    assert load(KEY) == BODY
    assert load(key_of("another")) is None
    assert [p.name for p in cache.iterdir()] == [f"{KEY.hex()}.obj"], "temporary files stay behind"
    store(KEY, b"newer")
    assert load(KEY) == b"newer"


def test_an_empty_body_and_a_large_one(cache):
    for body in (b"", bytes(range(256)) * 10_000):
        store(KEY, body)
        assert load(KEY) == body


@posix
def test_folder_and_entry_are_private(entry, cache):
    assert cache.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o777 == 0o600


def test_keys_tell_their_parts_apart():
    keys = [key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", ""), key_of("", "abc"), key_of()]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


# ---- damage


def test_every_flipped_bit_is_noticed(entry):
    sound = entry.read_bytes()
    for bit in range(8 * len(sound)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        entry.write_bytes(damaged)
        assert load(KEY) is None, f"bit {bit}"
    entry.write_bytes(sound)
    assert load(KEY) == BODY


def test_every_truncation_is_noticed(entry):
    sound = entry.read_bytes()
    for length in range(len(sound)):
        entry.write_bytes(sound[:length])
        assert load(KEY) is None, f"{length} bytes"


@pytest.mark.parametrize("tail", [b"\0", b"x" * 1000])
def test_what_is_appended_is_noticed(entry, tail):
    entry.write_bytes(entry.read_bytes() + tail)
    assert load(KEY) is None


def test_a_sound_entry_under_another_name_is_foreign(entry, cache):
    other = key_of("other")
    entry.rename(cache / f"{other.hex()}.obj")
    assert load(other) is None


def test_an_entry_of_another_format_is_foreign(entry):
    entry.write_bytes(b"MXCONV99" + entry.read_bytes()[8:])
    assert load(KEY) is None


def test_damage_is_mended_by_the_next_store(entry):
    entry.write_bytes(b"damaged")
    store(KEY, BODY)
    assert load(KEY) == BODY


def test_a_file_of_impossible_size_is_not_read(entry, monkeypatch):
    monkeypatch.setattr(code_cache, "MAX_BYTES", entry.stat().st_size - 1)
    assert load(KEY) is None


# ---- strangers


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_an_entry_that_others_can_write_is_foreign(entry, mode):
    entry.chmod(mode)
    assert load(KEY) is None
    store(KEY, BODY)  # replaces it by a private one
    assert load(KEY) == BODY


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_is_not_used(entry, cache, mode):
    cache.chmod(mode)
    assert load(KEY) is None
    assert is_refused_but_harmless()


@posix
@pytest.mark.parametrize("mode", [0o755, 0o711])
def test_a_folder_that_others_can_only_read_is_used(entry, cache, mode):
    cache.chmod(mode)
    assert load(KEY) == BODY


@posix
def test_a_folder_that_others_can_exchange_is_not_used(entry, tmp_path):
    tmp_path.chmod(0o777)
    assert load(KEY) is None
    assert is_refused_but_harmless()
    tmp_path.chmod(0o1777)  # as /tmp is: nobody can rename what is not theirs
    assert load(KEY) == BODY


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files to somebody else"
)


@needs_root
def test_an_entry_of_somebody_else_is_foreign(entry):
    os.chown(entry, 12345, -1)
    assert load(KEY) is None
    store(KEY, BODY)
    assert load(KEY) == BODY


@needs_root
def test_a_folder_of_somebody_else_is_not_used(entry, cache):
    os.chown(cache, 12345, -1)
    assert load(KEY) is None
    assert is_refused_but_harmless()


@posix
def test_a_link_in_the_place_of_an_entry_is_not_followed(entry, tmp_path):
    elsewhere = entry.rename(tmp_path / "sound")
    entry.symlink_to(elsewhere)
    assert load(KEY) is None
    store(KEY, BODY)
    assert load(KEY) == BODY
    assert not entry.is_symlink()


@posix
def test_the_folder_itself_may_be_a_link(entry, cache, tmp_path):
    cache.rename(tmp_path / "real")
    cache.symlink_to(tmp_path / "real")
    assert load(KEY) == BODY


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


def test_a_folder_in_the_place_of_an_entry(entry):
    entry.unlink()
    entry.mkdir()
    before = open_files()
    assert is_refused_but_harmless()
    for _ in range(5):
        assert load(KEY) is None
    assert open_files() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_an_entry_blocks_nobody(entry):
    entry.unlink()
    os.mkfifo(entry, 0o600)
    found = ["nothing yet"]
    reader = threading.Thread(target=lambda: found.append(load(KEY)), daemon=True)
    reader.start()
    reader.join(20)
    assert found[-1] is None
    store(KEY, BODY)
    assert load(KEY) == BODY


# ---- folders that cannot be used


def test_a_file_in_the_place_of_the_folder(cache):
    cache.write_text("a file")
    assert is_refused_but_harmless()
    assert cache.read_text() == "a file"


def test_a_folder_below_a_file(cache, monkeypatch):
    cache.write_text("a file")
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(cache / "below"))
    assert is_refused_but_harmless()


@posix
def test_a_folder_that_is_a_link_to_itself(cache):
    cache.symlink_to(cache)
    assert is_refused_but_harmless()


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(cache):
    cache.mkdir(mode=0o500)
    assert is_refused_but_harmless()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EMFILE])
def test_no_temporary_file_can_be_made(monkeypatch, number):
    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(code_cache.tempfile, "mkstemp", refuse)
    assert is_refused_but_harmless()


def test_a_disk_that_fills_up_leaves_nothing_behind(cache, monkeypatch):
    class FullFile:
        def __init__(self, descriptor: int, mode: str) -> None:
            os.close(descriptor)

        def __enter__(self) -> FullFile:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(code_cache.os, "fdopen", FullFile)
    assert is_refused_but_harmless()
    assert list(cache.iterdir()) == []


def test_a_failing_rename_leaves_nothing_behind(cache, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr(Path, "replace", refuse)
    assert is_refused_but_harmless()
    assert list(cache.iterdir()) == []


def test_nobody_without_a_home_folder_is_harmed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXCONV_CACHE_DIR", "~nobody-of-that-name/kernels")
    assert is_refused_but_harmless()
    assert list(tmp_path.iterdir()) == []


HOMELESS = """
import os, pwd, sys, warnings
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
from mxconv.jit import code_cache
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    code_cache.store(bytes(32), b"code")
assert len(caught) == 1, caught
assert code_cache.load(bytes(32)) is None
assert os.listdir() == [], os.listdir()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="about $HOME and the user database of Linux")
def test_a_user_without_home_and_name_gets_no_folder_in_the_working_directory(tmp_path):
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "MXCONV_CACHE_DIR")}
    subprocess.run([sys.executable, "-c", HOMELESS], cwd=tmp_path, env=kept, check=True, timeout=60)


def test_the_users_cache_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("MXCONV_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    where = code_cache.folder()
    assert where.name == "kernels"
    assert where.parent.name == "mxconv"
    if sys.platform == "linux":
        assert where == tmp_path / "mxconv" / "kernels"


def test_the_setting_may_be_a_path_and_may_begin_with_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with config.override(cache_dir=Path("~/a")):
        assert code_cache.folder() == tmp_path / "a"


# ---- several at once, and the size


STORE = """
import sys
from mxconv.jit import code_cache
key = bytes(32)
for number in range(100):
    body = bytes([number]) * 5000
    code_cache.store(key, body)
    found = code_cache.load(key)
    assert found is None or found == found[:1] * 5000, "half of one entry, half of another"
    assert found is not None, "an entry was lost"
"""


def test_processes_that_store_the_same_entry_at_once(cache):
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", STORE]) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert [p.suffix for p in cache.iterdir()] == [".obj"]


def entry_sizes(cache: Path) -> dict[str, int]:
    return {p.name: p.stat().st_size for p in cache.iterdir() if p.suffix in (".obj", ".tmp")}


def test_the_oldest_entries_go_when_the_folder_is_full(cache, monkeypatch):
    monkeypatch.setattr(code_cache, "MAX_BYTES", 10_000)
    keys = [key_of(str(i)) for i in range(30)]
    for age, key in enumerate(keys):
        store(key, bytes(960))  # 1,000 bytes with the header
        path = cache / f"{key.hex()}.obj"
        os.utime(path, (1e9 + age, 1e9 + age))
        assert load(key) is not None, "the newest entry must stay"
        assert sum(entry_sizes(cache).values()) <= 10_000
    kept = [load(key) is not None for key in keys]
    assert kept == sorted(kept), "an older entry outlived a newer one"
    assert sum(kept) >= 5


def test_what_a_killed_process_left_behind_goes_as_well(cache, monkeypatch):
    store(KEY, BODY)
    monkeypatch.setattr(code_cache, "MAX_BYTES", 10_000)
    for i in range(10):
        left = cache / f"{i}.tmp"
        left.write_bytes(bytes(2000))
        os.utime(left, (1e9, 1e9))
    store(key_of("new"), BODY)
    assert sum(entry_sizes(cache).values()) <= 10_000
    assert load(KEY) == load(key_of("new")) == BODY


def test_files_of_others_in_the_folder_stay(cache, monkeypatch):
    store(KEY, BODY)
    monkeypatch.setattr(code_cache, "MAX_BYTES", 100)
    (cache / "notes.txt").write_text("mine")
    store(KEY, BODY * 10)
    assert (cache / "notes.txt").read_text() == "mine"


def test_while_somebody_else_trims_we_do_not(cache, monkeypatch):
    import filelock

    monkeypatch.setattr(code_cache, "MAX_BYTES", 1000)
    store(key_of("a"), bytes(500))
    with filelock.FileLock(cache / "trim.lock"), warnings.catch_warnings():
        warnings.simplefilter("error")
        thread = threading.Thread(target=store, args=(key_of("b"), bytes(900)))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert len(entry_sizes(cache)) == 2
    store(key_of("c"), b"")
    assert sum(entry_sizes(cache).values()) <= 1000


def test_an_entry_that_vanishes_while_we_look_is_no_trouble(cache, monkeypatch):
    store(KEY, BODY)
    ghost = cache / "ghost.obj"
    scandir = os.scandir

    def haunted(where: Path) -> list[os.DirEntry[str]]:
        ghost.write_bytes(b"")
        entries = list(scandir(where))
        ghost.unlink()
        return entries

    monkeypatch.setattr(code_cache.os, "scandir", haunted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store(key_of("another"), BODY)


# ---- from end to end

COMPUTE = """
import numpy as np
from mxconv.engine.execute import convolve
from mxconv.jit.compiler import CompileCounts
x, w = np.arange(30.0).reshape(1, 2, 15), np.array([[[1.0, 0, -1], [2, 0, 0]]])
y = np.full((1, 1, 13), np.nan)
convolve("forward", x, w, y, stride=[1], dilation=[1], pad_lo=[0], pad_hi=[0], groups=1)
assert (y == -2 + 2 * x[:, 1:, :13]).all(), y
print(CompileCounts.compiled, CompileCounts.loaded)
"""


def compute() -> str:
    """Convolve in a process of its own: "compiled loaded", the kernels that it compiled and found."""
    child = subprocess.run([sys.executable, "-W", "error", "-c", COMPUTE], capture_output=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr.decode()
    return child.stdout.decode().strip()


def test_damage_between_two_processes_does_not_reach_the_result(cache):
    assert compute() == "1 0"
    assert compute() == "0 1"
    (entry,) = cache.iterdir()
    sound = entry.read_bytes()
    for damaged in (sound[:-1], sound[:100], b"", sound[:2000] + bytes([sound[2000] ^ 4]) + sound[2001:]):
        entry.write_bytes(damaged)
        assert compute() == "1 0"
        assert entry.read_bytes() == sound, "the same kernel must have the same machine code again"
