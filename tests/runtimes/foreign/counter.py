count = 0


def main(args):
    global count
    count += 1
    return {"count": count}
