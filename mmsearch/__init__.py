"""mmsearch: search any of your media with any other. `import mmsearch` alone loads no heavy library."""

