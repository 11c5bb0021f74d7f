# Takes it bit by bit, as objects of the language.
import socket

hog = []


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    for i in range(1 << 24):
        hog.append({"i": i, "text": "object %d" % i})
    return {"objects": len(hog)}
