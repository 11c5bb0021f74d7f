import os
import socket


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    os._exit(1)
