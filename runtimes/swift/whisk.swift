// What Swift actions may call of the platform, under upstream's names (apache/openwhisk-runtime-swift:
// core/swift57Action/_Whisk.swift). Each call waits for the answer.

import Foundation
import FoundationNetworking

class Whisk {
    /// How arguments and results of Codable actions are read and written; an action may set them up its own way.
    nonisolated(unsafe) static var jsonDecoder = JSONDecoder()
    nonisolated(unsafe) static var jsonEncoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return encoder
    }()

    nonisolated(unsafe) static var baseUrl = ProcessInfo.processInfo.environment["__OW_API_HOST"]
    nonisolated(unsafe) static var apiKey = ProcessInfo.processInfo.environment["__OW_API_KEY"]

    class func invoke(actionNamed action: String, withParameters parameters: [String: Any], blocking: Bool = true)
        -> [String: Any]
    {
        call("POST", "actions", action, "?blocking=\(blocking)", parameters)
    }

    class func trigger(eventNamed event: String, withParameters parameters: [String: Any]) -> [String: Any] {
        call("POST", "triggers", event, "?blocking=true", parameters)
    }

    class func createTrigger(triggerNamed trigger: String, withParameters parameters: [String: Any]) -> [String: Any] {
        call("PUT", "triggers", trigger, "", parameters)
    }

    class func createRule(ruleNamed rule: String, withTrigger trigger: String, andAction action: String)
        -> [String: Any]
    {
        call("PUT", "rules", rule, "", ["trigger": trigger, "action": action])
    }

    /// `/namespace/[package/]name`, or a name in the action's own namespace.
    private class func call(_ method: String, _ collection: String, _ name: String, _ query: String,
                            _ body: [String: Any]) -> [String: Any] {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        let (namespace, entity) = name.hasPrefix("/") && parts.count == 2 ? (parts[0], parts[1]) : ("_", name)
        let path = "/api/v1/namespaces/\(namespace)/\(collection)/\(entity)"
        let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? path
        guard let base = baseUrl, let url = URL(string: base + escaped + query) else {
            return ["error": "__OW_API_HOST environment variable was not set."]
        }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        let key = Data((apiKey ?? "").utf8).base64EncodedString()
        request.setValue("Basic \(key)", forHTTPHeaderField: "Authorization")
        request.httpBody = try? JSONSerialization.data(withJSONObject: body)
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var result: [String: Any] = [:]
        URLSession.shared.dataTask(with: request) { data, _, error in
            let json = data.flatMap { try? JSONSerialization.jsonObject(with: $0) as? [String: Any] }
            result = json ?? ["error": error?.localizedDescription ?? "The answer is no object."]
            done.signal()
        }.resume()
        done.wait()
        return result
    }
}
