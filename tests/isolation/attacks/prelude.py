# What the attacks share. An attack returns what it got, or raises what it was refused with.
import ctypes, errno, fcntl, json, os, platform, signal, socket, struct, subprocess, sys, tempfile, time

libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"


class Refused(Exception):
    pass


def call(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def read_decoy(connection, args):
    connection.settimeout(2)
    text = connection.recv(200).decode()
    if args["secret"] not in text:
        raise Refused(f"somebody else answers: {text}")
    return text


def processes(word, file):
    """The processes whose file in /proc holds a word, but for this one."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = open(f"/proc/{pid}/{file}", "rb").read().decode(errors="replace")
        except OSError:
            continue
        if word in text and int(pid) != os.getpid():
            yield int(pid)
