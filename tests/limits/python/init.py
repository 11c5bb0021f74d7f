# Does what it is told while it is loaded.
import os
import socket

hog = []
trouble = os.environ.get("TROUBLE")
while trouble == "time":
    pass
if trouble == "exit":
    os._exit(1)
while trouble == "memory":
    hog.append(bytearray(b"x" * (16 << 20)))
if trouble == "text":
    raise Exception("x" * (2 << 20))


def main(args):
    return {"host": socket.gethostname()}
