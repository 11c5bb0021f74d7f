import sys


def main(args):
    for _ in range(args["lines"]):
        print("out " + "x" * 90)
        print("err " + "x" * 90, file=sys.stderr)
    return args
