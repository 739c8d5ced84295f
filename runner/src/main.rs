//! The `penstock` binary: the worker with the built-in plugins.

fn main() -> std::process::ExitCode {
    penstock_runner::main(penstock_runner::Plugins::builtin())
}
