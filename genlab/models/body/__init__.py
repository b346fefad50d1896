"""Human bodies. Metres, y up; a pose is a rotation for each joint of a tree, a shape a few numbers beta."""
