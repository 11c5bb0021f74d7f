//! The images of the runtimes: what each is called, and what it is made of.

/// One image of a runtime. Its build context is the root of the repository, of which we send what it needs;
/// docker-compose.yml builds it from the same Dockerfile.
pub struct Image {
    /// What the runtimes manifest calls it.
    pub tag: &'static str,
    /// Its Dockerfile, from the root of the repository.
    pub dockerfile: &'static str,
    /// What else it is made of.
    pub files: &'static [&'static str],
    /// Whether the action proxy goes in.
    pub proxy: bool,
    /// Whether something is downloaded while it is built by a program that has to be told whom to trust.
    pub downloads: bool,
    /// Whether it is built only when it is named, or with all: large ones, which take minutes.
    pub on_demand: bool,
}

/// Every image.
pub const IMAGES: &[Image] = &[
    NODEJS,
    PYTHON,
    RUBY,
    PHP,
    GOLANG,
    GOLANG_BUILDER,
    JAVA,
    JAVA_BUILDER,
    RUST,
    RUST_BUILDER,
    SWIFT,
    SWIFT_BUILDER,
];

const NODEJS: Image = Image {
    tag: "oxwhisk/action-nodejs-v20:latest",
    dockerfile: "runtimes/nodejs/Dockerfile",
    files: &[
        "runtimes/nodejs/server.js",
        "runtimes/nodejs/loader.js",
        "runtimes/nodejs/logs.js",
        "runtimes/nodejs/marks.js",
        "runtimes/nodejs/zip.js",
        "runtimes/nodejs/package.json",
        "runtimes/nodejs/package-lock.json",
    ],
    proxy: false,
    downloads: true,
    on_demand: false,
};

const PYTHON: Image = Image {
    tag: "oxwhisk/action-python-v3.13:latest",
    dockerfile: "runtimes/python/Dockerfile",
    files: &["runtimes/python/launcher.py"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const RUBY: Image = Image {
    tag: "oxwhisk/action-ruby-v3.3:latest",
    dockerfile: "runtimes/ruby/Dockerfile",
    files: &["runtimes/ruby/launcher.rb"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const PHP: Image = Image {
    tag: "oxwhisk/action-php-v8.4:latest",
    dockerfile: "runtimes/php/Dockerfile",
    files: &["runtimes/php/launcher.php"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const GOLANG: Image = Image {
    tag: "oxwhisk/action-golang-v1.24:latest",
    dockerfile: "runtimes/golang/Dockerfile",
    files: &[],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const GOLANG_BUILDER: Image = Image {
    tag: "oxwhisk/action-golang-v1.24-builder:latest",
    dockerfile: "runtimes/golang/builder.Dockerfile",
    files: &["runtimes/golang/compile", "runtimes/golang/launcher.go"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const JAVA: Image = Image {
    tag: "oxwhisk/action-java-v21:latest",
    dockerfile: "runtimes/java/Dockerfile",
    files: &["runtimes/java/Launcher.java", "runtimes/java/Sample.java", "runtimes/java/options"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const JAVA_BUILDER: Image = Image {
    tag: "oxwhisk/action-java-v21-builder:latest",
    dockerfile: "runtimes/java/builder.Dockerfile",
    files: &["runtimes/java/compile"],
    proxy: true,
    downloads: false,
    on_demand: false,
};

const RUST: Image = Image {
    tag: "oxwhisk/action-rust-v1.85:latest",
    dockerfile: "runtimes/rust/Dockerfile",
    files: &[],
    proxy: true,
    downloads: false,
    on_demand: true,
};

const RUST_BUILDER: Image = Image {
    tag: "oxwhisk/action-rust-v1.85-builder:latest",
    dockerfile: "runtimes/rust/builder.Dockerfile",
    files: &[
        "runtimes/rust/compile",
        "runtimes/rust/launcher.rs",
        "runtimes/rust/launcher.toml",
        "runtimes/rust/actions.toml",
        "runtimes/rust/config.toml",
        "runtimes/rust/sample.rs",
    ],
    proxy: true,
    downloads: false,
    on_demand: true,
};

const SWIFT: Image = Image {
    tag: "oxwhisk/action-swift-v6.0:latest",
    dockerfile: "runtimes/swift/Dockerfile",
    files: &[],
    proxy: true,
    downloads: false,
    on_demand: true,
};

const SWIFT_BUILDER: Image = Image {
    tag: "oxwhisk/action-swift-v6.0-builder:latest",
    dockerfile: "runtimes/swift/builder.Dockerfile",
    files: &[
        "runtimes/swift/compile",
        "runtimes/swift/launcher.swift",
        "runtimes/swift/whisk.swift",
        "runtimes/swift/sample.swift",
    ],
    proxy: true,
    downloads: false,
    on_demand: true,
};
