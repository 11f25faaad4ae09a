"""The inventory of public names: none goes unless this list says so."""

import importlib

import pytest

PUBLIC = {
    "skdpnet": """
        BlocksThatShout
        DPNetClassifier DPNetRegressor DPNetTransformer FeatureMaps GlobalFeatures
        PIPNetClassifier ProtoPNetClassifier ProtoPoolClassifier ProtoPShareClassifier
        ProtoTreeClassifier RandomSelectedParts SoftAssignParts VLAD
        best_regions check_images clear_memory datasets display explain explain_class
        explain_each from_pretrained
        load metrics open_set part_galleries part_gallery report __version__
    """,
    "skdpnet.backbones": "DenseSIFT",
    "skdpnet.datasets": "images_of labels_of load_image_folder make_part_images",
    "skdpnet.display": """
        BestRegionsDisplay ClassPartMatrixDisplay ExplanationDisplay HeatMapDisplay
        PartGalleryDisplay ParticipationDisplay PrototypeDisplay
        PrototypeSlotsDisplay PrototypeTreeDisplay
    """,
    "skdpnet.images": "ImageError network_inputs",
    "skdpnet.losses": """
        alignment assignment cluster_cost off_class_weights orthogonality presence
        separation_cost slot_orthogonality specificity
    """,
    "skdpnet.metrics": """
        Redundancy ResponseDrop add_noise area_under consistency deletion_curve
        insertion_curve mask_pixels part_hits part_purity parts_for_evidence
        parts_to_flip parts_to_keep pointing_game present_evidence random_regions
        redundancy resize_boxes response_drop stability
    """,
    "skdpnet.open_set": "OpenSetClassifier",
    "skdpnet.regions": "RegionGrid",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_those_of_the_inventory(module):
    opened, names = importlib.import_module(module), set(PUBLIC[module].split())
    for name in names:
        assert getattr(opened, name) is not None
    assert set(opened.__all__) == names
