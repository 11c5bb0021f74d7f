def main(args):
    return {
