import Foundation

let atLoad = ProcessInfo.processInfo.environment["SOME_VAR"]

func main(args: [String: Any]) -> [String: Any] {
    let environment = ProcessInfo.processInfo.environment
    var found: [String: Any] = [:]
    found["at_load"] = atLoad
    found["SOME_VAR"] = environment["SOME_VAR"]
    found["ANOTHER_VAR"] = environment["ANOTHER_VAR"]
    return found
}
