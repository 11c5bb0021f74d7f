def main(args):
    return {"error": "sorry"}
