import os
import time


def main(args):
    return {"left": int(os.environ["__OW_DEADLINE"]) - time.time() * 1000}
