/* The catalog's files, as bytes in the program. */
    .section .rodata
    .global catalog_regions_json, catalog_regions_json_end
    .global catalog_services_json, catalog_services_json_end
catalog_regions_json:
    .incbin CATALOG_REGIONS
catalog_regions_json_end:
catalog_services_json:
    .incbin CATALOG_SERVICES
catalog_services_json_end:
    .section .note.GNU-stack,"",%progbits
