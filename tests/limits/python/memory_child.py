# Its child is killed for want of memory, and it goes on; later it ends by itself.
import os
import signal
import socket
import subprocess
import sys


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    if args.get("exit"):
        os._exit(1)
    child = subprocess.run([sys.executable, "-c", "bytearray(b'x' * (1 << 30))"])
    return {"killed": child.returncode == -signal.SIGKILL}
