import Foundation

struct Refusal: LocalizedError {
    var errorDescription: String? { "nooooo" }
}

func main(args: Any) async throws -> Any {
    throw Refusal()
}
