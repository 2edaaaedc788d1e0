// The runtime's archives, which end up inside every model: one for each architecture that was built; else empty.
        .section .rodata
        .macro archive name, file
        .globl  \name
        .globl  \name\()_end
        .hidden \name
        .hidden \name\()_end
        .balign 16
\name:
        .ifnc "\file",""
        .incbin "\file"
        .endif
\name\()_end:
        .endm

        archive nncc_runtime_x86_64, NNCC_RUNTIME_X86_64
        archive nncc_runtime_aarch64, NNCC_RUNTIME_AARCH64
        .section .note.GNU-stack,"",@progbits
