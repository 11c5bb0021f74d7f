# Writes files, each of a size that is allowed, and waits for what becomes of that.
import socket
import tempfile
import time


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    block = b"x" * (8 << 20)
    for i in range(40):
        with open("%s/file%d" % (tempfile.gettempdir(), i), "wb") as file:
            file.write(block)
    time.sleep(50)
    return {"files": 40}
