"""A plugin as pip would leave it in a folder of packages, for PYTHONPATH."""


def install_plugin(folder, name, **modules):
    """Write the modules of the distribution ``name``, the first of which has its hooks; return ``folder``."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[clipbench]\n{name} = {next(iter(modules))}\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    return folder
