# Opens files until it may not.
import errno
import os
import socket


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    files, code = [], ""
    while len(files) < 2000 and not code:
        try:
            files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as raised:
            code = errno.errorcode[raised.errno]
    for file in files:
        os.close(file)
    return {"count": len(files), "code": code}
