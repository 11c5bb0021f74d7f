import Foundation

let names = ["api_host", "api_key", "namespace", "action_name", "action_version", "activation_id", "transaction_id",
    "deadline"]

func main(args: [String: Any]) -> [String: Any] {
    var found: [String: Any] = [:]
    for name in names {
        found[name] = ProcessInfo.processInfo.environment["__OW_" + name.uppercased()]
    }
    return found
}
