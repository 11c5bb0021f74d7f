# Writes one file until it may not.
import errno
import os
import socket
import tempfile


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    file, path = tempfile.mkstemp()
    block, count, code = bytes(1 << 20), 0, ""
    while count < 200 << 20 and not code:
        try:
            count += os.write(file, block)
        except OSError as raised:
            code = errno.errorcode[raised.errno]
    os.close(file)
    os.unlink(path)
    return {"count": count, "code": code}
