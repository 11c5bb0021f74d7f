import socket


def main(args):
    if args.get("calm"):
        return {"host": socket.gethostname()}
    while True:
        pass
