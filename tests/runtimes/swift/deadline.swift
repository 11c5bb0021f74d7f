import Foundation

struct Output: Codable {
    let left: Double
}

func main() async throws -> Output {
    let deadline = Double(ProcessInfo.processInfo.environment["__OW_DEADLINE"] ?? "") ?? 0
    return Output(left: deadline - Date().timeIntervalSince1970 * 1000)
}
