# Prints 4 MB.
import socket


def main(args):
    if not args.get("calm"):
        for _ in range(40_000):
            print("x" * 99)
    print("last")
    return {"host": socket.gethostname()}
