def main(args):
    return ["a", "b"]
