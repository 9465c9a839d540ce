"""Where getpatter meets other people's frameworks: one file each, none is loaded by the others."""
