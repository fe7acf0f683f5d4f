"""How fast the voxel renderer is: `terrarium bench render`."""
