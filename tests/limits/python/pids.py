# Starts processes until it may not.
import os
import signal
import socket


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    children = []
    try:
        while len(children) < 500:
            child = os.fork()
            if child == 0:
                while True:
                    signal.pause()
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"count": len(children)}
