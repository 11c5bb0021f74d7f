def main(args):
    return {"python": args.get("name", "nobody")}
