import os

NAMES = ("api_host", "api_key", "namespace", "action_name", "action_version", "activation_id", "transaction_id",
         "deadline")


def main(args):
    return {name: os.environ.get("__OW_" + name.upper()) for name in NAMES}
