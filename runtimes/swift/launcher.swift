// Runs a Swift action: compiled together with it, as one program that the action proxy starts.
//
// Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each; descriptors 1 and 2 are
// the action's logs. The first answer says that it runs. (The protocol is upstream's,
// apache/openwhisk-runtime-go: docs/ACTION.md.) An action's file ends with a call of `oxwhiskServe`, one for each
// kind of function that upstream takes (apache/openwhisk-runtime-swift: README.md).

import Foundation

/// Gives the action its arguments and takes its result, both as JSON.
typealias OxwhiskAction = (Data) async throws -> Data

struct OxwhiskError: LocalizedError {
    let errorDescription: String?

    init(_ text: String) {
        errorDescription = text
    }
}

/// Any to Any, also asynchronous, also throwing.
func oxwhiskServe(_ action: @escaping (Any) async throws -> Any) async {
    await oxwhiskLoop { arguments in
        try oxwhiskEncode(try await action(try JSONSerialization.jsonObject(with: arguments, options: .fragmentsAllowed)))
    }
}

/// The same with dictionaries.
func oxwhiskServe(_ action: @escaping ([String: Any]) async throws -> [String: Any]) async {
    await oxwhiskLoop { arguments in
        guard let arguments = try JSONSerialization.jsonObject(with: arguments) as? [String: Any] else {
            throw OxwhiskError("The arguments of this action are an object.")
        }
        return try oxwhiskEncode(try await action(arguments))
    }
}

/// Codable to Codable.
func oxwhiskServe<In: Decodable, Out: Encodable>(_ action: @escaping (In) async throws -> Out) async {
    await oxwhiskLoop { arguments in
        try Whisk.jsonEncoder.encode(try await action(try Whisk.jsonDecoder.decode(In.self, from: arguments)))
    }
}

/// Nothing to Codable.
func oxwhiskServe<Out: Encodable>(_ action: @escaping () async throws -> Out) async {
    await oxwhiskLoop { _ in try Whisk.jsonEncoder.encode(try await action()) }
}

/// Codable to a completion with Codable or an error.
func oxwhiskServe<In: Decodable, Out: Encodable>(
    _ action: @escaping (In, @escaping (Out?, Error?) -> Void) -> Void
) async {
    await oxwhiskLoop { arguments in
        let input = try Whisk.jsonDecoder.decode(In.self, from: arguments)
        return try await oxwhiskCompleted { action(input, $0) }
    }
}

/// Nothing to such a completion.
func oxwhiskServe<Out: Encodable>(_ action: @escaping (@escaping (Out?, Error?) -> Void) -> Void) async {
    await oxwhiskLoop { _ in try await oxwhiskCompleted(action) }
}

/// Waits for a completion; the first call of it counts.
private func oxwhiskCompleted<Out: Encodable>(_ action: (@escaping (Out?, Error?) -> Void) -> Void) async throws -> Data {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Data, Error>) in
        let lock = NSLock()
        var isCompleted = false
        action { result, error in
            lock.lock()
            defer { lock.unlock() }
            if isCompleted { return }
            isCompleted = true
            continuation.resume(with: Result {
                if let error { throw error }
                guard let result else {
                    throw OxwhiskError("Action handler callback did not return response or error.")
                }
                return try Whisk.jsonEncoder.encode(result)
            })
        }
    }
}

private func oxwhiskEncode(_ result: Any) throws -> Data {
    // The array makes a result that is no object one that the proxy refuses with its own sentence.
    guard JSONSerialization.isValidJSONObject([result]) else {
        throw OxwhiskError("Error serializing JSON, data does not appear to be valid JSON")
    }
    return try JSONSerialization.data(withJSONObject: result, options: [.fragmentsAllowed, .withoutEscapingSlashes])
}

/// Answers until the proxy closes the channel.
private func oxwhiskLoop(_ action: OxwhiskAction) async {
    // Neither the action nor its children see the protocol.
    let requests = fcntl(0, F_DUPFD_CLOEXEC, 4)
    let answers = fcntl(3, F_DUPFD_CLOEXEC, 4)
    let null = open("/dev/null", O_RDONLY)
    guard requests >= 0, answers >= 0, null >= 0, dup2(null, 0) == 0, let input = fdopen(requests, "r") else {
        fatalError("the action proxy is not there")
    }
    close(null)
    close(3)
    oxwhiskSend(Data(#"{"ok":true}"#.utf8), to: answers)
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    while true {
        let length = getline(&line, &capacity, input)
        guard length > 0, let text = line else { exit(0) }
        let request = Data(bytes: text, count: length)
        do {
            oxwhiskSend(try await action(try oxwhiskArguments(request)), to: answers)
        } catch {
            let text = (error as? LocalizedError)?.errorDescription ?? String(describing: error)
            FileHandle.standardError.write(Data((text + "\n").utf8))
            let answer = try? JSONSerialization.data(withJSONObject: ["error": text], options: .withoutEscapingSlashes)
            oxwhiskSend(answer ?? Data(#"{"error":"The action failed."}"#.utf8), to: answers)
        }
    }
}

/// Sets the variables of this activation; what is left is the action's.
private func oxwhiskArguments(_ request: Data) throws -> Data {
    guard let request = try JSONSerialization.jsonObject(with: request) as? [String: Any] else {
        throw OxwhiskError("The request is no object.")
    }
    for case let (key, text as String) in request where key != "value" {
        setenv("__OW_" + key.uppercased(), text, 1)
    }
    return try JSONSerialization.data(withJSONObject: request["value"] ?? [String: Any](), options: .fragmentsAllowed)
}

private func oxwhiskSend(_ answer: Data, to descriptor: Int32) {
    // Log lines count towards the run that printed them only if they are out before its answer.
    fflush(nil)
    (answer + Data("\n".utf8)).withUnsafeBytes { bytes in
        var sent = 0
        while sent < bytes.count {
            let written = write(descriptor, bytes.baseAddress! + sent, bytes.count - sent)
            if written < 0 && errno != EINTR { exit(1) }
            sent += max(written, 0)
        }
    }
}
