from greeter import greet


def main(args):
    return greet(args["name"])
