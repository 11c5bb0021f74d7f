# Takes more than any container has.
import socket

hog = []


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    for _ in range(64):
        hog.append(bytearray(b"x" * (16 << 20)))
    return {"blocks": len(hog)}
