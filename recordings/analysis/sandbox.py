"""What a process that opens strangers' files gives up before it does: memory, time, and nearly all that a system can
be asked for.

Linux alone has all of it. macOS, where developers work, bounds processor time and the size of files, memory not, and
leaves the calls to the system open; so does a kernel that was built without seccomp.
"""

import ctypes
import platform
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path

# What decoding in memory needs: no file is opened, nothing is connected to, no process is started, none is reached.
# https://github.com/torvalds/linux/blob/v6.12/arch/x86/entry/syscalls/syscall_64.tbl
# https://github.com/torvalds/linux/blob/v6.12/scripts/syscall.tbl
CALLS = {
    # name: (x86_64, aarch64)
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "ftruncate": (77, 46),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH of linux/audit.h
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2  # linux/prctl.h, linux/seccomp.h
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K


def confine(*, memory: int, cpu: int, written: int) -> None:
    """From here on: so many bytes of memory more than there are, so many seconds of processor time, files of at most
    `written` bytes. None of it can be taken back.
    """
    if used := address_space():
        limit(resource.RLIMIT_AS, used + memory)
    limit(resource.RLIMIT_CPU, cpu, more=1)  # SIGXCPU, and a second later SIGKILL
    limit(resource.RLIMIT_FSIZE, written)
    limit(resource.RLIMIT_CORE, 0)
    close_system()


def address_space() -> int:
    """The bytes that this process has mapped; 0 where the system does not say, as on macOS."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def limit(which: int, most: int, *, more: int = 0) -> None:
    """Never above what holds already."""
    hard = resource.getrlimit(which)[1]
    soft, most = (each if hard == resource.RLIM_INFINITY else min(each, hard) for each in (most, most + more))
    with suppress(ValueError, OSError):  # the system has no such limit
        resource.setrlimit(which, (soft, most))


def close_system() -> bool:
    """Refuse every call to the system but CALLS, as if it were forbidden. Returns whether this kernel does so."""
    column, machine = MACHINES.get(platform.machine(), (0, 0))
    if sys.platform != "linux" or not machine:
        return False
    allowed = [numbers[column] for numbers in CALLS.values()]
    steps = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 0, len(allowed) + 1, machine), (LOAD, 0, 0, 0)]
    steps += [(JUMP_EQUAL, len(allowed) - at, 0, number) for at, number in enumerate(allowed)]
    steps += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    system = ctypes.CDLL(None)
    nothing = ctypes.c_ulong(0)
    if system.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing):
        return False
    found: int = system.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), program, nothing, nothing)
    return found == 0
