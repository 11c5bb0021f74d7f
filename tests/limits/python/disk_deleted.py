# The same with files that have no name any more.
import errno
import os
import socket
import tempfile
import time


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    block = b"x" * (8 << 20)
    try:
        for _ in range(40):
            file, path = tempfile.mkstemp()
            os.unlink(path)
            os.write(file, block)
    except OSError as error:
        return {"code": errno.errorcode[error.errno]}
    time.sleep(50)
    return {"files": 40}
