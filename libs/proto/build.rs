//! Compiles every contract under `proto/` in pure Rust: no `protoc` is needed.
//!
//! Two outputs of one compiler run: the Rust code, and the descriptor set as bytes. The bytes come from
//! `encode_file_descriptor_set`, which keeps the custom options; `protox::compile` would silently drop them, and with
//! them every method's access rule.
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root.join("copydesk"), root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).include_source_info(false).open_files(&files)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .bytes(".copydesk.retrieval.v1.IngestRequest.content")
        .compile_well_known_types(false)
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn collect(dir: &Path, root: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, root, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path.strip_prefix(root)?.to_path_buf());
        }
    }
    Ok(())
}
