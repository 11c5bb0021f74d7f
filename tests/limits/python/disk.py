# Writes files, each of a size that is allowed, and waits for what becomes of that.
import errno
import socket
import tempfile
import time


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    block = b"x" * (8 << 20)
    try:
        for i in range(40):
            with open("%s/file%d" % (tempfile.gettempdir(), i), "wb") as file:
                file.write(block)
    except OSError as error:
        return {"code": errno.errorcode[error.errno]}
    time.sleep(50)
    return {"files": 40}
