import os

AT_LOAD = os.environ["SOME_VAR"]


def main(args):
    return {"at_load": AT_LOAD, "SOME_VAR": os.environ["SOME_VAR"], "ANOTHER_VAR": os.environ["ANOTHER_VAR"]}
